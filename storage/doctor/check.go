package doctor

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"path"
	"slices"
	"strings"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/cardinality"
	"tsdb/storage/datadir"
	"tsdb/storage/namestats"
	"tsdb/storage/wal"
)

// Finding is something a check found in a file of the data directory.
type Finding struct {
	File   string `json:"file"`   // relative to the data directory
	Offset int64  `json:"offset"` // in the file, bytes
	What   string `json:"what"`
}

// CheckReport is the result of Check.
type CheckReport struct {
	Damage []Finding `json:"damage"` // changed bytes and missing files
	Notes  []Finding `json:"notes"`  // remains of a crash, which the next start removes
	Blocks int       `json:"blocks"` // files verified
	Bytes  int64     `json:"bytes"`  // of blocks and log
	// RollupDays are the days of all rollups. RollupDaysCompared are those of them
	// whose buckets were compared with their samples; of the others the samples
	// have left, or stand in for all buckets.
	RollupDays         int `json:"rollupDays"`
	RollupDaysCompared int `json:"rollupDaysCompared"`
	// Running means that a server had the directory open: its log, which it is
	// writing, was left out.
	Running bool `json:"running"`
}

// maxFindings bounds each list of a report.
const maxFindings = 10_000

func add(list *[]Finding, f Finding) {
	if len(*list) < maxFindings {
		*list = append(*list, f)
	}
}

// Check verifies every file of a data directory without changing any: MANIFEST,
// blocks, log, and that they agree. Beside a server that has the directory open
// it verifies MANIFEST and blocks as they are at one moment, and leaves out the
// log and files that are being written. Damage is no error; an error means that
// the directory could not be checked: it does not exist, or files could not be
// read.
func Check(ctx context.Context, fs vfs.FS, dir string) (*CheckReport, error) {
	c := &checker{ctx: ctx, fs: fs, dir: dir, report: &CheckReport{Damage: []Finding{}, Notes: []Finding{}}}
	unlock, err := datadir.Lock(fs, dir, "")
	switch {
	case errors.Is(err, datadir.ErrInUse):
		c.report.Running = true
		c.note(format.WALDir, 0, "not verified: a server has it open and writes to it")
		if err := c.checkBlocks(nil); err != nil {
			return nil, err
		}
		return c.report, nil
	case err != nil:
		return nil, err
	}
	defer unlock()
	rec, err := c.checkLog()
	if err != nil {
		return nil, err
	}
	if err := c.checkBlocks(rec); err != nil {
		return nil, err
	}
	return c.report, nil
}

// checker collects the findings of one call.
type checker struct {
	ctx    context.Context // of the call: a checker does not outlive it
	fs     vfs.FS
	dir    string
	report *CheckReport
}

// relative returns a file's name in the data directory.
func (c *checker) relative(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, c.dir), "/")
}

func (c *checker) damage(file string, off int64, format string, args ...any) {
	add(&c.report.Damage, Finding{c.relative(file), off, fmt.Sprintf(format, args...)})
}

func (c *checker) note(file string, off int64, format string, args ...any) {
	add(&c.report.Notes, Finding{c.relative(file), off, fmt.Sprintf(format, args...)})
}

// checkLog reads and decodes every frame of the log.
func (c *checker) checkLog() (*wal.Recovery, error) {
	dir := path.Join(c.dir, format.WALDir)
	rec, err := datadir.ScanLog(c.fs, c.dir)
	if err != nil {
		return nil, err
	}
	c.report.Bytes += rec.Report().Bytes
	if err := rec.Report().ListErr; err != nil {
		c.damage(format.SegmentsName, 0, "%v", err)
	}
	return rec, wal.Check(c.fs, dir, datadir.LogOptions(c.dir), func(file string, off int64, what string, note bool) {
		if note {
			c.note(file, off, "%s", what)
		} else {
			c.damage(file, off, "%s", what)
		}
	})
}

// checkBlocks reads the MANIFEST, and every block from front to back. rec is nil
// beside a running server.
func (c *checker) checkBlocks(rec *wal.Recovery) error {
	edit := uint64(0)
	if rec != nil {
		edit = rec.Report().Edit
	}
	l := datadir.OpenListed(c.fs, c.dir)
	defer l.Close()
	err := l.Err
	if rec != nil {
		defer c.checkLoss(rec, l.State)
	}
	switch {
	case errors.Is(err, iofs.ErrNotExist) && edit == 0:
		c.note(format.ManifestName, 0, "there is none yet")
		return nil
	case errors.Is(err, iofs.ErrNotExist):
		c.damage(format.ManifestName, 0, "missing, the log names edit %d", edit)
		return nil
	case err != nil && !errors.Is(err, format.ErrCorrupt):
		return err
	}
	found := len(c.report.Damage)
	c.checkCopies(l.Copies, l.State)
	if err != nil {
		if len(c.report.Damage) == found { // both can be read, and contradict each other
			c.damage(format.ManifestName, 0, "%v", err)
		}
		return nil
	}
	st := l.State
	if edit > st.Number {
		c.damage(format.ManifestName, 0, "ends at edit %d, the log names edit %d", st.Number, edit)
	}
	if err := st.Check(); err != nil {
		c.damage(format.ManifestName, 0, "%v", err)
	}
	for _, b := range st.Sorted() {
		if err := c.checkBlock(l, b.Info); err != nil {
			return err
		}
	}
	if err := c.checkRollups(l); err != nil {
		return err
	}
	if err := c.checkCounts(); err != nil {
		return err
	}
	if c.report.Running {
		return nil // files that are not listed are being written, moved or removed
	}
	if err := c.checkHistory(st); err != nil {
		return err
	}
	return c.checkUnlisted(st)
}

// checkCounts reads the files of counts, which are replaced as a whole.
func (c *checker) checkCounts() error {
	_, size, err := cardinality.Check(c.fs, c.dir)
	c.report.Bytes += size
	if cardinality.IsLost(err) {
		c.damage(format.CountsName, 0, "%v; the server counts the days again", err)
		err = nil
	}
	if err != nil {
		return err
	}
	switch err := namestats.Check(c.fs, c.dir); {
	case errors.Is(err, format.ErrCorrupt), errors.Is(err, format.ErrVersion):
		c.damage(format.QueriedName, 0, "%v; the server begins to count anew", err)
	case err != nil:
		return err
	}
	return nil
}

// checkCopies reports the damage of both copies of the MANIFEST; st is the state of
// the better one, nil if there is none.
func (c *checker) checkCopies(copies []manifest.Copy, st *manifest.State) {
	for _, m := range copies {
		var d *format.DamageError
		twin := m.Name == format.TwinName
		switch {
		case errors.Is(m.Err, iofs.ErrNotExist) && twin:
			c.note(m.Name, 0, "there is no second copy of the MANIFEST; the next start makes one")
		case errors.Is(m.Err, iofs.ErrNotExist):
			c.damage(m.Name, 0, "missing; the next start takes %s", format.TwinName)
		case errors.As(m.Err, &d):
			c.damage(m.Name, d.Offset, "%v", m.Err)
		case m.Err != nil:
			c.damage(m.Name, 0, "%v", m.Err)
		case c.report.Running && m.Err == nil && (twin || st == nil || m.State.Number >= st.Number):
			// Missing or torn edits are being written.
		case st != nil && m.State.Number < st.Number && twin:
			c.note(m.Name, m.Torn.Offset, "ends at edit %d of %d; the next edit or start writes it anew", m.State.Number, st.Number)
		case st != nil && m.State.Number < st.Number:
			c.damage(m.Name, m.Torn.Offset, "ends at edit %d, %s at edit %d; the next start takes that", m.State.Number, format.TwinName, st.Number)
		case m.Torn.Bytes > 0:
			c.note(m.Name, m.Torn.Offset, "torn edit of %d bytes at the end; the next start cuts it", m.Torn.Bytes)
		}
	}
}

// checkLoss reports the missing segments of the log.
// st is nil if the MANIFEST is not readable.
func (c *checker) checkLoss(rec *wal.Recovery, st *manifest.State) {
	low := uint64(0)
	if st != nil {
		low = st.WALLow
	}
	loss := rec.Loss(low)
	if loss == nil {
		return
	}
	for _, s := range loss.Segments {
		c.damage(s.File, s.Found, "%s; acknowledged samples received from %s to %s or later are gone", s.What, model.FormatTime(s.FromMs), model.FormatTime(s.ToMs))
	}
	c.damage(format.SegmentsName, 0, "lists segments that are gone: the next start refuses; put them back, or accept the loss with the token %s", loss.Token())
}

func (c *checker) checkBlock(l *datadir.Listed, want block.Info) error {
	var d *format.DamageError
	switch err := l.Errs[want.Name]; {
	case errors.Is(err, iofs.ErrNotExist):
		c.damage(want.Name, 0, "listed in the MANIFEST and missing")
		return nil
	case errors.As(err, &d):
		c.damage(want.Name, d.Offset, "%s", d.What)
		return nil
	case err != nil:
		return err
	}
	b := l.Blocks[want.Name]
	got := b.Info()
	c.report.Blocks++
	c.report.Bytes += got.Size
	if got.Size != want.Size || got.CRC != want.CRC {
		c.damage(want.Name, 0, "another block than the MANIFEST lists")
	}
	return b.Check(c.ctx, func(off int64, what string) { c.damage(want.Name, off, "%s", what) })
}

// checkUnlisted notes block files that no edit lists.
func (c *checker) checkUnlisted(st *manifest.State) error {
	dirs := []string{format.L0Dir}
	for _, tier := range append([]block.Tier{block.Raw}, block.Rollups...) {
		days, err := c.fs.List(path.Join(c.dir, tier.Dir()))
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		for _, day := range days {
			dirs = append(dirs, path.Join(tier.Dir(), day))
		}
	}
	for _, dir := range dirs {
		names, err := c.fs.List(path.Join(c.dir, dir))
		if err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return err
		}
		slices.Sort(names)
		for _, n := range names {
			name := path.Join(dir, n)
			if _, ok := st.Blocks[name]; !ok {
				c.note(name, 0, "not listed in the MANIFEST; the next start deletes it, or keeps it in %s or %s", format.LostFoundDir, format.HistoryDir)
			}
		}
	}
	return nil
}
