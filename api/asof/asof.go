// Package asof resolves the parameter of queries that names an earlier moment. Both HTTP
// and gRPC have it.
package asof

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/query"
	"tsdb/storage"
)

// ErrPresentOnly is the error of a request that names a moment where only the present can
// be read.
var ErrPresentOnly = errors.New("as_of is possible for queries, exemplars, series and labels only: everything else is about the present")

// Open returns the series of a tenant at the newest mark that is not after a time, Unix
// milliseconds, and an info that names the mark. The error is storage.ErrNoMark.
func Open(db *storage.DB, tenant uint32, ms int64) (q *query.Queryable, info, err error) {
	m, err := db.MarkAt(ms)
	if err != nil {
		return nil, nil, err
	}
	info = fmt.Errorf("%w: as of the mark of %s: what came later is not in this answer",
		annotations.PromQLInfo, time.UnixMilli(m.WallMs).UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	return query.NewQueryable(db.At(m), tenant), info, nil
}
