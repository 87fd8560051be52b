//go:build !unix

package admission

import "time"

// ProcessCPU returns the CPU time that the process has used; nil = not known.
var ProcessCPU func() time.Duration
