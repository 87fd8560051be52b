package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// checkedSeries is the number of series per block against which an identity seed is
// checked.
const checkedSeries = 16

// Options are the inputs of a repair besides the MANIFEST and the blocks.
type Options struct {
	Edit        uint64   // highest edit that the WAL names
	Generations []uint64 // those with frames in the WAL, in ascending order
	High        High     // of the WAL
	// Holds reports whether the WAL holds all of the generations from lo to hi.
	Holds func(lo, hi uint64) bool
	// Damaged is set if frames of the WAL are missing or cannot be read.
	Damaged bool
	NowMs   int64
	// AssumeNoDeletes assumes that lost edits recorded no deletion.
	AssumeNoDeletes bool
}

// NewPlan reads the MANIFEST of dir and, if no copy of it can be used as it is, the
// footers of all blocks, and plans its repair. It changes nothing on disk.
func NewPlan(ctx context.Context, fsys vfs.FS, dir string, o Options) (*Plan, error) {
	in := &repairInput{
		copies: manifest.ReadCopies(fsys, dir), checks: map[uint64]seedCheck{},
		walEdit: o.Edit, walGens: o.Generations, walHigh: o.High, holds: o.Holds, walDamaged: o.Damaged,
		nowMs: o.NowMs, assumeNoDeletes: o.AssumeNoDeletes,
	}
	in.salvage = manifest.ReadSalvage(fsys, dir)
	best, err := manifest.NewestCopy(in.copies)
	intact := err == nil && best.State.Number >= o.Edit
	series, err := in.readBlocks(ctx, objstore.NewDir(fsys, dir), !intact)
	if err != nil {
		return nil, err
	}
	seeds := in.seeds()
	for _, s := range in.salvage.Chains {
		seeds = append(seeds, s.Seed)
	}
	for _, seed := range seeds {
		in.checks[seed] = checkSeed(seed, series)
	}
	return planRepair(in), nil
}

// storedSeries is a series stored in a block.
type storedSeries struct {
	block string
	block.SeriesEntry
}

// readBlocks reads the footers of all blocks and some series of each and, if days is
// set, finds out of which days rollups have rows.
func (in *repairInput) readBlocks(ctx context.Context, store objstore.Store, days bool) ([]storedSeries, error) {
	found, err := block.ListKeys(ctx, store)
	if err != nil {
		return nil, err
	}
	var all []storedSeries
	for _, name := range found {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, objstore.TempSuffix) {
			continue
		}
		f := repairFile{Info: block.Info{Name: name}}
		b, err := block.Open(store, name, nil)
		if err != nil {
			if !block.IsLost(err) {
				return nil, err
			}
			f.err = err
			in.files = append(in.files, f)
			continue
		}
		f.Info, f.repeated = b.Info(), b.Repeated()
		series, err := someSeries(b)
		if err == nil && days && f.Tier != block.Raw {
			f.days, err = daysOf(ctx, b)
		}
		if err := errors.Join(err, b.Close()); err != nil && !block.IsLost(err) {
			return nil, err
		}
		if errors.Is(err, syscall.EIO) {
			f.err = err
			in.files = append(in.files, f)
			continue
		}
		if err == nil && f.Level != block.L0 {
			first, last := series[0], series[len(series)-1]
			f.keys = manifest.KeyRange{First: manifest.SeriesKey(first.Tenant, first.Labels), Last: manifest.SeriesKey(last.Tenant, last.Labels)}
		}
		if f.err = (&manifest.Listed{Info: f.Info, Keys: f.keys}).Validate(); f.err == nil {
			all = append(all, series...)
		}
		in.files = append(in.files, f)
	}
	return all, nil
}

// someSeries returns series sampled from the first to the last of a block. It
// returns fewer if the index is damaged.
func someSeries(b *block.Block) ([]storedSeries, error) {
	var all []storedSeries
	n := b.Info().Series
	step := max((n-1)/(checkedSeries-1), 1)
	for ord := uint64(0); ord < n; ord += step {
		if ord+step >= n {
			ord = n - 1
		}
		e, err := b.Series(uint32(ord))
		if err != nil {
			return all, err
		}
		e.Labels = e.Labels.Copy()
		all = append(all, storedSeries{b.Info().Name, e})
	}
	return all, nil
}

// checkSeed compares the identities in blocks with those that follow from a seed.
func checkSeed(seed uint64, series []storedSeries) seedCheck {
	var c seedCheck
	var id model.Identity
	var scratch []byte
	for _, s := range series {
		c.series++
		id, scratch = model.IdentityOf(seed, s.Tenant, s.Labels, scratch)
		if id != s.ID && (len(c.wrong) == 0 || c.wrong[len(c.wrong)-1] != s.block) {
			c.wrong = append(c.wrong, s.block)
		}
	}
	return c
}

// Apply executes the plan. It keeps the existing copies of the MANIFEST that it
// replaces as MANIFEST.damaged-1 and so on, and returns the names of the files kept.
func (p *Plan) Apply(fsys vfs.FS, dir string) (kept []string, err error) {
	if p.state == nil {
		return nil, fmt.Errorf("repair: the plan has nothing to write: %s", p.Refused)
	}
	for _, base := range p.write {
		name, err := keepAside(fsys, dir, base)
		if err != nil {
			return kept, err
		}
		if name != "" {
			kept = append(kept, name)
		}
	}
	for _, base := range p.write {
		if err := manifest.WriteCopy(fsys, dir, base, p.state); err != nil {
			return kept, err
		}
	}
	return kept, nil
}

// keepAside links a file to an unused second name, so that the old content survives
// when the file is replaced. On a file system without links it renames the file.
func keepAside(fsys vfs.FS, dir, base string) (string, error) {
	old := path.Join(dir, base)
	if _, err := fsys.Stat(old); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.damaged-%d", base, n)
		if _, err := fsys.Stat(path.Join(dir, name)); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look for %s: %w", name, err)
		}
		err := fsys.Link(old, path.Join(dir, name))
		if err != nil {
			err = fsys.Rename(old, path.Join(dir, name))
		}
		if err == nil {
			err = fsys.SyncDir(dir)
		}
		if err != nil {
			return "", fmt.Errorf("keep %s as %s: %w", base, name, err)
		}
		return name, nil
	}
}
