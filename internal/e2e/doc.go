// Package e2e tests the built server from outside, with real programs: kill
// -9, full disks, counted syncs, and Prometheus, Telegraf and the influx
// command line as clients.
//
// A test that needs a program which is not installed is skipped by name, and
// fails where CI=true; make test-deps installs them all. TSDB_BIN names a
// server binary to test instead of building one, TSDB_TEST_BIN the folder of
// the programs that make test-deps builds, TSDB_SOAK a time for which the
// tests of kills and disks repeat.
package e2e
