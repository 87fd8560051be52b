// Package e2e tests the built server from outside with real programs: kill -9, full
// disks, counted syncs, and Prometheus, Telegraf and the influx command line as
// clients.
//
// A test that needs a program that is not installed is skipped, or fails if CI=true;
// make test-deps installs all programs. TSDB_BIN is the path of a server binary to
// test instead of building one, TSDB_TEST_BIN the directory of the programs built by
// make test-deps, and TSDB_SOAK the time for which the tests of kills and disks
// repeat.
package e2e
