package storage

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/log"
)

// catalog owns the MANIFEST and the state it records: blocks, deletions, the
// retention floor and the low end of the log. All edits go through it. It also
// removes the files of blocks and the log segments that edits have dropped.
//
// Lock order: mu, then those of views.
type catalog struct {
	*env
	manifest   *manifest.Manifest
	set        *blockset.Set
	wal        log.Log
	views      *views
	tombstones *pendingTombstones
	checkLock  func() error // nil if the directory is still ours

	// mu is held while an edit is written, I/O included: one edit at a time.
	mu sync.Mutex

	twinBehind atomic.Bool // the second copy of the MANIFEST lacks edits
}

// edit makes an edit of the manifest durable and publishes the state that
// follows from it, with change applied, in one step.
func (c *catalog) edit(e manifest.Edit, change func(*state)) (*manifest.State, error) {
	return c.editFrom(func(*manifest.State) manifest.Edit { return e }, change)
}

// editFrom is edit with the edit that build makes of the present state.
func (c *catalog) editFrom(build func(*manifest.State) manifest.Edit, change func(*state)) (*manifest.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := build(c.manifest.State())
	e.WallMs = c.now()
	e.HighGen, e.HighLSN = c.wal.Generation(), c.wal.LastLSN()
	droppedBytes := int64(0)
	for _, name := range e.Drop {
		droppedBytes += c.manifest.State().Blocks[name].Size
	}
	next, err := c.set.Publish(e)
	if err != nil && isNoSpace(err) && c.giveReserveUp() {
		next, err = c.set.Publish(e)
	}
	if err != nil {
		return nil, err
	}
	st := next.State()
	c.observeTwin()
	c.dropped.add(c.opts.Clock.Now(), droppedBytes)
	c.wal.NoteEdit(st.Number)
	rules, err := newRuleFloors(st)
	if err != nil {
		panic(fmt.Sprintf("BUG: a recorded matcher does not compile: %v", err))
	}
	hidden := []model.TimeRange{{Max: st.Floor}, {Max: next.Kept().Min}}
	if len(e.RuleLists) > 0 {
		hidden = append(hidden, hiddenByRules(&e))
	}
	c.views.change(func(s *state) {
		hidden[0].Min, hidden[1].Min = s.floor, s.blocks.Kept().Min
		s.blocks, s.floor, s.rules = next, st.Floor, rules
		s.tombstones = c.tombstones.all(st.Tombstones)
		if change != nil {
			change(s)
		}
	})
	for _, k := range e.Uncover {
		if k.Day < st.Floor { // samples that stood in may have left
			hidden = append(hidden, k.Range())
		}
	}
	for _, r := range hidden {
		c.changes.addRange(r, model.AllMetrics)
	}
	return st, nil
}

// hiddenByRules returns the times in which an edit that raises floors of rules may hide
// something.
func hiddenByRules(e *manifest.Edit) model.TimeRange {
	hidden := model.TimeRange{Min: math.MinInt64, Max: manifest.NoFloor}
	for i := range e.RuleLists {
		for _, tier := range append(block.Rollups[:len(block.Rollups):len(block.Rollups)], block.Raw) {
			hidden.Max = max(hidden.Max, e.RuleLists[i].Highest(tier))
		}
	}
	return hidden
}

// sweep deletes dropped blocks that no view holds any more. A block that cannot
// be deleted is tried again later, and nothing else waits for it.
func (c *catalog) sweep(ctx context.Context) {
	_ = c.jobs.sweep.Run(ctx, func(ctx context.Context) error {
		if err := c.checkLock(); err != nil {
			return err
		}
		_, err := c.set.Sweep(ctx, c.opts.Clock.Now(), func(edit uint64) error {
			return walError(c.wal.Release(c.manifest.State().WALLow, edit))
		})
		return err
	})
}

// releaseLog releases the segments of the log whose samples are in blocks.
func (c *catalog) releaseLog(context.Context) error {
	st := c.manifest.State()
	return walError(c.wal.Release(st.WALLow, st.Number))
}

// logRestored logs the damage of a copy of the MANIFEST that has been restored
// from the other at the start.
func (c *catalog) logRestored() {
	problems, fromTwin := c.manifest.Restored()
	from := format.ManifestName
	if fromTwin {
		from = format.TwinName
	}
	for _, err := range problems {
		c.log.Error("a copy of the MANIFEST was damaged and has been written anew from the other", "err", err, "from", from)
	}
	c.observeTwin()
}

// observeTwin logs when the second copy of the MANIFEST begins to lack edits and
// when it has them all again. Every edit tries to write it.
func (c *catalog) observeTwin() {
	err := c.manifest.TwinErr()
	switch was := c.twinBehind.Swap(err != nil); {
	case err != nil && !was:
		c.log.Error("the second copy of the MANIFEST lacks edits, will be tried again with the next", "file", format.TwinName, "err", err)
	case err == nil && was:
		c.log.Info("the second copy of the MANIFEST has all edits again", "file", format.TwinName)
	}
}

// summary counts the blocks.
func (c *catalog) summary() Summary {
	var s Summary
	for _, b := range c.manifest.State().Blocks {
		s.Blocks++
		s.Bytes += b.Size
	}
	return s
}
