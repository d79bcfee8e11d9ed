import { updatePage } from './page/update.ts'

// `npm run page -w bench`: the figures of docs/scaling.md anew, where results came to be here in another way than by a run.
updatePage()
