package query

import (
	"errors"

	"github.com/prometheus/prometheus/promql"

	"tsdb/query/admission"
)

// classify gives context errors from inside the storage the types that the engine
// gives to those that it notices itself: a client need not know the difference.
func classify(err error) error {
	if err == nil || isPromQL(err) {
		return err
	}
	return admission.ContextError(err, admission.InExecution)
}

func isPromQL(err error) bool {
	var timeout promql.ErrQueryTimeout
	var canceled promql.ErrQueryCanceled
	return errors.As(err, &timeout) || errors.As(err, &canceled)
}
