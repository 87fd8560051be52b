// Tsdb is the time-series database server and its tools:
//
//	tsdb serve    accepts samples and answers queries
//	tsdb check    verifies a data directory without changing it
//	tsdb repair   restores a damaged MANIFEST or accepts the loss of log segments
//	tsdb inspect  shows the contents of a data directory or of one file
//
// Exit codes are 0 for success, 1 for failure, 2 for an invalid command line or
// configuration file; check and repair have their own, see their help.
//
// The package has more than 30 files because each command and each group of settings
// has one of its own.
package main
