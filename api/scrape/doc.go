// Package scrape collects metrics from targets, with Prometheus' own scrape and
// discovery managers. A Config is the part of a configuration file that names targets, a
// Manager runs the managers with the Config in force, and gives the API a view of them.
//
//	discovery: static, file, DNS, HTTP ─▶ groups of targets ─▶ relabelling ─▶ a loop for
//	each target: GET, parse, metric relabelling ─▶ Options.Appendable
//
// Package config of Prometheus, which the managers need, links the SDKs of clouds. So
// only cmd/tsdb imports this package: doors and queries are built and tested without it.
//
// Further kinds of discovery are linked by the build tag alldiscovery.
package scrape
