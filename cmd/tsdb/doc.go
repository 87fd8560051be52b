// Tsdb is the time-series database server and its tools:
//
//	tsdb serve    takes samples in and answers queries
//	tsdb check    verifies a data directory without changing it
//	tsdb inspect  shows what a data directory or one file holds
//
// Exit codes are 0 for success, 1 for failure, 2 for a command line or
// configuration file that makes no sense; check has its own, see its help.
package main
