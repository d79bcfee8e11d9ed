/**
 * Headers that say who may read an answer and what a browser may do with it (CORS, helmet's), and nothing of what is in
 * it: an answer of ours that replaces the handler's keeps them. Without `Access-Control-Allow-Origin` a page of another
 * origin could not even see that it got a 503, and `Vary` goes with it (Fetch §3.2; ASVS 5.0 3.4.1 to 3.4.8).
 */
const POLICY =
  /^(?:access-control-.+|cross-origin-.+|content-security-policy(?:-report-only)?|origin-agent-cluster|permissions-policy|referrer-policy|strict-transport-security|vary|x-(?:content-type-options|dns-prefetch-control|download-options|frame-options|permitted-cross-domain-policies|xss-protection))$/i

/** True for a header that stays when the answer is replaced. */
export function isPolicy(name: string): boolean {
  return POLICY.test(name)
}
