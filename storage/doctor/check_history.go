package doctor

import (
	"errors"
	"fmt"
	"path"

	"tsdb/internal/objstore"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/history"
)

// checkHistory verifies the marks of the history, and the blocks that only they have.
func (c *checker) checkHistory(st *manifest.State) error {
	if err := history.Check(c.ctx, c.fs, c.dir, st, historyFindings{c}); err != nil {
		return fmt.Errorf("check %s: %w", format.HistoryDir, err)
	}
	return nil
}

// historyFindings reports findings in the history.
type historyFindings struct{ *checker }

func (h historyFindings) Damage(file, what string) { h.damage(path.Join(h.dir, file), 0, "%s", what) }
func (h historyFindings) Note(file, what string)   { h.note(path.Join(h.dir, file), 0, "%s", what) }

func (h historyFindings) Block(file string, want block.Info) (err error) {
	object, err := objstore.NewDir(h.fs, h.dir).Open(h.ctx, file)
	if err != nil {
		return err
	}
	b, err := block.OpenObject(object, file, nil)
	if errors.Is(err, format.ErrCorrupt) || errors.Is(err, format.ErrVersion) {
		h.Damage(file, err.Error())
		return nil
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	got := b.Info()
	h.report.Blocks++
	h.report.Bytes += got.Size
	if !manifest.SameFile(got, want) {
		h.Damage(file, "another block than the mark lists")
	}
	return b.Check(h.ctx, func(off int64, what string) { h.damage(path.Join(h.dir, file), off, "%s", what) })
}
