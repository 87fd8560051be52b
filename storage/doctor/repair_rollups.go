package doctor

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
	"tsdb/rollup"
	"tsdb/storage/datadir"
)

// repairRollups removes the coverage of the days whose buckets are damaged or differ
// from their samples, so that the job rolls them up again. Days whose samples have
// left, or cannot be read either, keep what they have: queries warn where it is
// missing. The MANIFEST must be intact.
func repairRollups(ctx context.Context, fs vfs.FS, dir string, o RepairOptions, r *RepairReport) error {
	l := datadir.OpenListed(fs, dir)
	defer l.Close()
	switch {
	case errors.Is(l.Err, iofs.ErrNotExist):
		return nil // a new directory
	case l.Err != nil:
		return l.Err
	}
	p := &rollupRepair{l: l, report: r, check: &checker{ctx: ctx, fs: fs, dir: dir, report: &CheckReport{}}}
	if err := p.plan(); err != nil {
		return err
	}
	if len(p.uncover) == 0 {
		return nil
	}
	r.Needed = true
	p.say("write MANIFEST and MANIFEST.2 anew without %s of rollups", model.FormatCount(len(p.uncover), "day"))
	if !o.Apply {
		return nil
	}
	e := (&rollup.Result{Uncover: p.uncover}).Edit(l.State)
	e.Number, e.WallMs = l.State.Number+1, o.Clock.Now().UnixMilli()
	if err := manifest.CheckEdit(l.State, e); err != nil {
		return err
	}
	next := l.State.Apply(e)
	for _, name := range manifest.CopyNames {
		if err := manifest.WriteCopy(fs, dir, name, next); err != nil {
			return err
		}
	}
	return nil
}

// rollupRepair finds the days to be rolled up again.
type rollupRepair struct {
	l       *datadir.Listed
	report  *RepairReport
	check   *checker
	uncover []manifest.CoverKey
}

func (p *rollupRepair) plan() error {
	damaged := map[string]string{} // the damage of each block, by name
	for _, b := range p.l.State.RollupBlocks() {
		p.check.report.Damage = nil
		if err := p.check.checkBlock(p.l, b.Info); err != nil {
			return err
		}
		if found := p.check.report.Damage; len(found) > 0 {
			damaged[b.Name] = fmt.Sprintf("damaged at %d: %s", found[0].Offset, found[0].What)
		}
	}
	lost := map[string]int{} // days that cannot be rolled up again, by block
	again := map[string]int{}
	for _, c := range p.l.State.SortedCoverage() {
		why := damaged[c.Block]
		if why == "" {
			p.check.report.Damage = nil
			if _, err := p.check.checkDay(p.l, c); err != nil {
				return err
			}
			found := p.check.report.Damage
			if len(found) == 0 {
				continue
			}
			p.say("%s: %s", c.Block, found[0].What)
		}
		if !p.hasSamples(c) {
			lost[c.Block]++
			continue
		}
		again[c.Block]++
		p.uncover = append(p.uncover, c.CoverKey)
	}
	for _, b := range p.l.State.RollupBlocks() {
		if why := damaged[b.Name]; why != "" {
			p.say("%s: %s", b.Name, why)
		}
		if n := again[b.Name]; n > 0 {
			p.say("%s: the next start rolls %s up again", b.Name, model.FormatCount(n, "day"))
		}
		if n := lost[b.Name]; n > 0 {
			p.say("%s: %s cannot be rolled up again, because the samples have left or are damaged: queries over them warn", b.Name, model.FormatCount(n, "day"))
		}
	}
	return nil
}

// hasSamples reports whether all samples of a covered day are still in readable
// blocks.
func (p *rollupRepair) hasSamples(c manifest.Coverage) bool {
	day := c.Range()
	if p.l.State.Floor > day.Min {
		return false
	}
	raw := slices.DeleteFunc(p.l.State.RawBlocks(), func(b manifest.Listed) bool {
		return b.Level == block.L0 || b.Partition != c.Day
	})
	return len(raw) > 0 && !slices.ContainsFunc(raw, func(b manifest.Listed) bool { return p.l.Errs[b.Name] != nil })
}

func (p *rollupRepair) say(text string, args ...any) {
	p.report.Lines = append(p.report.Lines, fmt.Sprintf(text, args...))
}
