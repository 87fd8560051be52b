package query

import (
	"tsdb/query/admission"
	"tsdb/query/source"
	"tsdb/query/tiers"
)

// The names of subpackages that callers of an Engine need, so that they import only
// this package.
type (
	// Queryable exposes a database through Prometheus' interfaces.
	Queryable = source.Queryable
	// Limit identifies a limit that a query can exceed.
	Limit = admission.Limit
	// LimitError is returned when a query would exceed a limit.
	LimitError = admission.LimitError
	// Resolution is the tier that a query reads. The zero value lets each selector
	// choose.
	Resolution = tiers.Resolution
	// TextLimits bounds a query's text.
	TextLimits = admission.TextLimits
)

// The limits of a LimitError.
const (
	LimitBytes       = admission.LimitBytes
	LimitTotalBytes  = admission.LimitTotalBytes
	LimitSeries      = admission.LimitSeries
	LimitLabelValue  = admission.LimitLabelValue
	LimitText        = admission.LimitText
	LimitSamplesRead = admission.LimitSamplesRead
)

// ResolutionAuto lets each selector choose the tier that is cheapest to read.
var ResolutionAuto = tiers.Auto

// ParseResolution returns the resolution of a name: "auto", which "" stands for too,
// "raw", or that of a rollup, such as "1h".
func ParseResolution(name string) (Resolution, error) { return tiers.ParseResolution(name) }

// ErrOverloaded is returned when the queue of waiting queries is full. A later retry
// may succeed.
var ErrOverloaded = admission.ErrOverloaded

// NewQueryable returns a Queryable over one tenant's series of a database.
func NewQueryable(db source.Database, tenant uint32) *Queryable {
	return source.NewQueryable(db, tenant)
}
