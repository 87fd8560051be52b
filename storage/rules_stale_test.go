package storage

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// shortFor returns a policy that keeps series with a label value for a day, and all
// others for ever.
func shortFor(i string) Retention {
	return Retention{Rules: []RetentionRule{{
		Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "i", i)}}, Keep: map[block.Tier]int64{block.Raw: model.DayMs},
	}}}
}

// A sample of a series that has left the head is not judged by the rules of others: its
// batch is written again.
func TestRulesDoNotJudgeSeriesThatHaveLeft(t *testing.T) {
	w := newTieredWorld(t)
	must(t, w.db.SetRetention(w.ctx, shortFor(""))) // a series without labels is kept for a day
	alias := model.Hash{Lo: 77}
	write := func(b *Batch, ref model.Ref, at int64) (Receipt, error) {
		b.Float(ref, at, 0, 1)
		return b.Commit(w.ctx)
	}
	b := w.db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(alias, tieredLabels(1))
	must(t, err)
	_, err = write(b, ref, w.clock.Now().UnixMilli())
	must(t, err)
	b = w.db.NewBatch("test", model.DefaultTenant)
	ref, ok := b.Lookup(alias)
	if !ok {
		t.Fatal("the series is not known")
	}
	for range 3 { // the series leaves the head
		w.clock.Advance(time.Minute)
		w.write(2, every(w.clock.Now().UnixMilli(), 1, 1))
		w.flush()
	}
	got, err := write(b, ref, dayAt(20))
	if !errors.Is(err, ErrStaleRef) {
		t.Errorf("%+v, %v", got, err)
	}
}
