package query

import (
	"github.com/prometheus/prometheus/promql"

	"tsdb/query/tiers"
)

// queryOpts are Prometheus' options of a query, and ours.
type queryOpts struct {
	promql.QueryOpts
	uncached   bool
	uncounted  bool
	resolution *tiers.Resolution // nil = that of the engine
}

// optsOf returns the options of a query; o may be nil.
func optsOf(o promql.QueryOpts) queryOpts {
	switch o := o.(type) {
	case nil:
		return queryOpts{QueryOpts: promql.NewPrometheusQueryOpts(false, 0)}
	case queryOpts:
		return o
	}
	return queryOpts{QueryOpts: o}
}

// Uncached returns o, which may be nil, with the option not to use the cache.
func Uncached(o promql.QueryOpts) promql.QueryOpts {
	own := optsOf(o)
	own.uncached = true
	return own
}

// Uncounted returns o, which may be nil, with the option not to call Options.CountName.
func Uncounted(o promql.QueryOpts) promql.QueryOpts {
	own := optsOf(o)
	own.uncounted = true
	return own
}

// WithResolution returns o, which may be nil, with the tier that the query is to read.
// Queries on Prometheus' engine read samples all the same.
func WithResolution(o promql.QueryOpts, r Resolution) promql.QueryOpts {
	own := optsOf(o)
	own.resolution = &r
	return own
}
