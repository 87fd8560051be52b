package query

import (
	"errors"

	"github.com/prometheus/prometheus/promql"

	"tsdb/query/admission"
)

// classify converts context errors from the storage to the types that the engine
// uses for those it detects itself, so that clients see no difference.
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
