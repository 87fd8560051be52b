//go:build !unix

package query

import "time"

// processCPU returns the CPU time that the process has used; nil = not known.
var processCPU func() time.Duration
