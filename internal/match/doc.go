// Package match evaluates PromQL matchers on label values.
//
// Regular expressions have the semantics of Go's regexp (RE2) for the expression
// that Prometheus defines, ^(?s:…)$, everywhere a matcher is evaluated: in the
// head, in blocks, for deletions and in the API. The matchers of Prometheus'
// package labels differ from RE2 for some expressions; here they only carry
// type, name and text.
//
// Most expressions are evaluated without regexp. Compile parses an expression
// into a list of shapes:
//
//	shape   literal  gap  literal  gap  …  literal
//	gap     any characters, with a minimum number of them
//
// The list covers the expression: every value that matches has one of the
// shapes. If the list is exact, every value with one of the shapes matches and
// regexp is not used at all. Otherwise values with none of the shapes are
// rejected without regexp. So a list of pods is a set of strings, ".*-prod" is a
// suffix test, and "web-[0-9]+" runs regexp only on values that begin with
// "web-". Each rule is proved in its comment, in cover.go and shape.go; the
// fuzz test checks all of them against regexp.
package match
