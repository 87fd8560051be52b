// Package s3test has S3 services for tests: Gateway runs versitygw, Fake is a service in
// memory, and Proxy stands before one of them and injects faults.
package s3test
