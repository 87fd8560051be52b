// Package remotewrite serves Prometheus remote write 1.0 and 2.0 on the contract of
// package door. Both messages are decoded by hand, without copying labels.
package remotewrite
