package source

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/promql"

	"tsdb/query/admission"
	"tsdb/storage"
)

// WrapError marks an error as one of the storage instead of the query. It returns
// errors of a context or a limit, and errors of a closed or busy database,
// unchanged.
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
