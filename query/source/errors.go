package source

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/promql"

	"tsdb/query/admission"
	"tsdb/storage"
)

// WrapError marks an error as the storage's fault, not the query's. Those of
// a context or a limit, and those that say that the database is not there, stay
// what they are.
func WrapError(err error) error {
	var over *admission.LimitError
	if errors.As(err, &over) {
		return err
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, admission.ErrPreempted, storage.ErrBusy, storage.ErrClosed} {
		if err == nil || errors.Is(err, known) {
			return err
		}
	}
	return promql.ErrStorage{Err: err}
}
