package objstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"tsdb/internal/background"
)

// deletePace spaces the attempts to delete an object that cannot be deleted.
var deletePace = background.Pace{First: time.Second, Max: 10 * time.Minute}

// maxDeleteErrors bounds how many objects the error of a Deleter names.
const maxDeleteErrors = 3

// Deleter deletes objects that nothing in this process refers to any more. It
// is safe for concurrent use.
type Deleter struct {
	store Store
	mu    struct {
		sync.Mutex
		waiting map[string]*waitingKey
	}
}

// waitingKey is the key of an object that waits for its deletion.
type waitingKey struct {
	since   time.Time // first call of Delete
	outcome background.Outcome
}

// NewDeleter returns a Deleter of objects in store.
func NewDeleter(store Store) *Deleter {
	d := &Deleter{store: store}
	d.mu.waiting = map[string]*waitingKey{}
	return d
}

// Delete deletes the objects of keys whose grace is over and whose last failed
// attempt is long enough ago, and returns the keys of those that are gone. The
// caller gives the others again, in a later call; keys that it does not give are
// forgotten. No object waits for another. err is that of Err.
func (d *Deleter) Delete(ctx context.Context, now time.Time, keys []string) (gone []string, err error) {
	due := d.due(now, keys)
	if len(due) == 0 {
		return nil, d.Err()
	}
	errs := d.store.Delete(ctx, due...)
	if err := ctx.Err(); err != nil {
		return nil, err // says nothing of the objects
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, key := range due {
		switch w := d.mu.waiting[key]; {
		case errs == nil || errs[i] == nil:
			delete(d.mu.waiting, key)
			gone = append(gone, key)
		case w != nil:
			w.outcome = w.outcome.Failed(fmt.Errorf("remove %s: %w", key, errs[i]), now, deletePace)
		}
	}
	return gone, d.errLocked()
}

// due returns the keys to delete now.
func (d *Deleter) due(now time.Time, keys []string) []string {
	grace := d.store.Grace()
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting := make(map[string]*waitingKey, len(keys))
	var due []string
	for _, key := range keys {
		w := d.mu.waiting[key]
		if w == nil {
			w = &waitingKey{since: now}
		}
		waiting[key] = w
		if now.Sub(w.since) >= grace && w.outcome.Due(now) {
			due = append(due, key)
		}
	}
	d.mu.waiting = waiting
	return due
}

// Err returns the error of the objects that cannot be deleted, nil if there are
// none. It names a few of them.
func (d *Deleter) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.errLocked()
}

func (d *Deleter) errLocked() error {
	failed, errs := 0, []error(nil)
	for _, key := range slices.Sorted(maps.Keys(d.mu.waiting)) {
		o := d.mu.waiting[key].outcome
		if o.Failures == 0 {
			continue
		}
		if failed++; len(errs) < maxDeleteErrors {
			errs = append(errs, o.Err)
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d objects that are no longer needed cannot be removed: %w", failed, errors.Join(errs...))
}
