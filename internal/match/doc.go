// Package match decides which label values satisfy a matcher of PromQL.
//
// The answer is that of Go's regexp, which is RE2, for the expression that
// Prometheus defines: ^(?s:…)$. It is the same wherever a matcher is evaluated:
// in the head, in blocks, for deletions and for the API. The matchers of
// Prometheus' own package labels decide by rules of their own in places and
// give other answers than RE2 for some expressions; here they only carry type,
// name and text.
//
// Most expressions are evaluated without regexp. Compile reads an expression as
// a list of shapes:
//
//	shape   literal  gap  literal  gap  …  literal
//	gap     any characters, but a least number of them
//
// The list covers the expression: every value that matches has one of the
// shapes. If it is exact, every value with one of the shapes matches, and
// regexp is not asked at all. If it is not, values of no shape are refused
// without asking. So a list of pods is a set of strings, ".*-prod" is a look
// at the end of a value, and "web-[0-9]+" is regexp for what begins with
// "web-". Each rule is proved where it stands, in cover.go and shape.go; the
// fuzz test holds all of them to regexp.
package match
