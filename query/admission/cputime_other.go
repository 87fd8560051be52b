//go:build !unix

package admission

import "time"

// ProcessCPU is nil: the CPU time of the process is unknown on this platform.
var ProcessCPU func() time.Duration
