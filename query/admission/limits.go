package admission

import (
	"fmt"
	"strconv"

	"github.com/prometheus/prometheus/promql"
)

// Limit identifies the limit that a query exceeded.
type Limit string

// The limits. LimitSamples is Prometheus' own limit; its error is
// promql.ErrTooManySamples instead of a LimitError.
const (
	LimitBytes       Limit = "bytes"        // of memory, of one query
	LimitTotalBytes  Limit = "total_bytes"  // of memory, of all queries together
	LimitSeries      Limit = "series"       // selected
	LimitLabelValue  Limit = "label_value"  // length of a label value created by a query
	LimitText        Limit = "text"         // length, depth, operators, memory for parsing
	LimitSamplesRead Limit = "samples_read" // from the storage
	LimitSamples     Limit = "samples"      // held in memory
)

// LimitError is returned when a query would exceed a limit. Its text contains the
// figure reached, the limit and its setting.
type LimitError struct {
	Limit Limit
	text  string
	alone bool // the query would exceed the limit even with no other query running
}

func (e *LimitError) Error() string { return e.text }

// Is makes the error match ErrOverloaded if a later retry may succeed: the memory
// limit of all queries is exceeded because of other queries.
func (e *LimitError) Is(target error) bool {
	return target == ErrOverloaded && e.Limit == LimitTotalBytes && !e.alone
}

func errBytes(n, limit int64) error {
	return &LimitError{Limit: LimitBytes, text: fmt.Sprintf("query would hold %s in memory, more than the %s of --query.max-bytes", sizeText(n), sizeText(limit))}
}

func errTotalBytes(n, available, limit int64) error {
	kept := ""
	if available < limit {
		kept = fmt.Sprintf(", of which %s are kept for small queries", sizeText(limit-available))
	}
	return &LimitError{Limit: LimitTotalBytes, text: fmt.Sprintf("query would make all queries hold %s in memory, more than the %s of --query.max-total-bytes allow%s: try again later", sizeText(n), sizeText(limit), kept)}
}

// errTotalBytesAlone returns the error of a query that holds n bytes and would not
// fit even with no other query running. left is the part of the common limit that
// one query may hold.
func errTotalBytesAlone(n, left, limit int64) error {
	rest := ""
	if left < limit {
		rest = fmt.Sprintf(", of which %s are kept for small queries and the cache", sizeText(limit-left))
	}
	return &LimitError{Limit: LimitTotalBytes, alone: true, text: fmt.Sprintf("query alone would hold %s in memory, more than the %s of --query.max-total-bytes allow%s", sizeText(n), sizeText(limit), rest)}
}

func errSeries(n, limit int64) error {
	return &LimitError{Limit: LimitSeries, text: fmt.Sprintf("query selects %d series, more than the %d of --query.max-series", n, limit)}
}

func errSamplesRead(n, limit int64) error {
	return &LimitError{Limit: LimitSamplesRead, text: fmt.Sprintf("query would read %d samples, more than the %d of --query.max-samples-read", n, limit)}
}

// NewSamplesError returns Prometheus' error for a query that holds n samples.
func NewSamplesError(n int64, limit int) error {
	return promql.ErrTooManySamples(fmt.Sprintf("%s: %d, more than the %d of --query.max-samples", InExecution, n, limit))
}

// NewLabelValueError returns the error of a query that creates a label value of n
// bytes or more.
func NewLabelValueError(name string, n, limit int) error {
	return &LimitError{Limit: LimitLabelValue, text: fmt.Sprintf("query would make a value of %d bytes or more of label %.100q, more than the %d of --limit.label-value", n, name, limit)}
}

func errTextBytes(n, limit int) error {
	return &LimitError{Limit: LimitText, text: fmt.Sprintf("query has %d bytes, more than the %d of --query.max-text-bytes", n, limit)}
}

func errTextOperators(limit int) error {
	return &LimitError{Limit: LimitText, text: fmt.Sprintf("query has more operators than the %d of --query.max-text-operators", limit)}
}

func errTextDepth(limit int) error {
	return &LimitError{Limit: LimitText, text: fmt.Sprintf("query is nested more levels deep than the %d of --query.max-text-depth", limit)}
}

// NewTextMemoryError returns the error of a text that takes n bytes to parse.
func NewTextMemoryError(n, limit int64) error {
	return &LimitError{Limit: LimitText, text: fmt.Sprintf("parsing the query would take %s of memory, more than the %s of --query.max-text-memory", sizeText(n), sizeText(limit))}
}

// sizeText formats a number of bytes to a precision of at least three digits, as
// 1.25 GiB.
func sizeText(n int64) string {
	units := [...]string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	digits := 0
	if i > 0 && v < 10 {
		digits = 2
	} else if i > 0 && v < 100 {
		digits = 1
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		for s[len(s)-1] == '0' {
			s = s[:len(s)-1]
		}
		if s[len(s)-1] == '.' {
			s = s[:len(s)-1]
		}
	}
	return s + " " + units[i]
}
