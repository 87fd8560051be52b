// Package doctor holds the tools for a data directory on which no server writes:
// check, inspect, repair, and the acceptance of a lost log. Check and inspect
// also work beside a running server, without its log.
package doctor
