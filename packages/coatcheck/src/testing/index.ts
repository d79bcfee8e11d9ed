export {
  type AdapterHarness,
  adapterLaws,
  askOver,
  type Reply,
  type Served,
  type Site,
  type SiteAnswer,
  type SiteRequest,
} from './adapter-laws.ts'
export { type Gate, type GatedCall, type GatedMethod, gatedStore, type Held, type Moment } from './gate.ts'
export type { Law, Skip } from './law.ts'
export { type StoreHarness, type StoreSpace, storeLaws } from './store-laws.ts'
