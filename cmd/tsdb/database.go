package main

import (
	"fmt"
	"sync/atomic"

	"tsdb/internal/model"
	"tsdb/storage"
)

// database holds the database once it is open, and before that the progress of
// the replay of its log. The zero value is not open. It is safe for concurrent
// use.
type database struct {
	db          atomic.Pointer[storage.DB]
	done, total atomic.Int64
}

func (d *database) set(db *storage.DB) { d.db.Store(db) }

// progress records the replayed and total bytes of the log.
func (d *database) progress(done, total int64) {
	d.total.Store(total)
	d.done.Store(done)
}

// replayed returns the figures last passed to progress.
func (d *database) replayed() (done, total int64) { return d.done.Load(), d.total.Load() }

// orNil returns the database, nil while it is not open.
func (d *database) orNil() *storage.DB { return d.db.Load() }

// get returns the database, or an error that wraps storage.ErrBusy and states the
// progress of the start.
func (d *database) get() (*storage.DB, error) {
	if db := d.db.Load(); db != nil {
		return db, nil
	}
	if total := d.total.Load(); total > 0 {
		done := min(d.done.Load(), total)
		return nil, storage.Busy(fmt.Sprintf("the server is starting: %s of %s of the log replayed (%d %%)", model.FormatBytes(done), model.FormatBytes(total), 100*done/total))
	}
	return nil, storage.Busy("the server is starting")
}
