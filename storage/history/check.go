package history

import (
	"context"
	"errors"
	"io/fs"
	"path"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// Findings receives what Check finds. Files are relative to the data directory.
type Findings interface {
	Damage(file string, what string)
	Note(file string, what string)
	// Block is called for each block that only history has, and checks its content.
	Block(file string, b block.Info) error
}

// Check verifies the history of the data directory dir, whose MANIFEST has state st and
// which nothing has open. It changes nothing.
func Check(ctx context.Context, fsys vfs.FS, dir string, st *manifest.State, found Findings) error {
	names, err := fsys.List(path.Join(dir, marksDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	pinned := map[string]block.Info{} // by key
	damaged := false
	for _, name := range names {
		file := path.Join(marksDir, name)
		number, _, ok := parseGroupName(name)
		if !ok {
			found.Note(file, "belongs to nothing; the next start removes it if it is temporary")
			continue
		}
		q, _, err := readSequence(fsys, path.Join(dir, file))
		switch {
		case err != nil:
			damaged = true
			found.Damage(file, err.Error())
		case q.Torn.Bytes > 0:
			found.Note(file, "torn mark at the end, which was never taken")
		}
		if len(q.Edits) > 0 && q.Edits[0].Number != number {
			found.Damage(file, "the first mark has another number than the name")
		}
		for i := range q.Edits {
			for _, b := range q.Edits[i].Add {
				pinned[keyOf(b)] = b
			}
		}
	}
	if newer, err := newerPurges(fsys, dir); err != nil && newer == nil {
		found.Damage(path.Join(format.HistoryDir, purgesName), err.Error()+"; the next start gives all marks up")
	} else if err != nil {
		found.Damage(path.Join(format.HistoryDir, purgesName), err.Error()+"; the other copy is taken")
	}
	keys, err := objstore.NewDir(fsys, dir).List(ctx, format.HistoryDir+"/")
	if err != nil {
		return err
	}
	held := map[string]bool{}
	for _, key := range keys {
		if !isBlockKey(key) {
			continue
		}
		held[key] = true
		b, ok := pinned[key]
		if !ok {
			if !damaged {
				found.Note(key, "no mark of the history lists it; the next start deletes it")
			}
			continue
		}
		if err := found.Block(key, b); err != nil {
			return err
		}
	}
	for key, b := range pinned {
		if listed, ok := st.Blocks[b.Name]; held[key] || ok && manifest.SameFile(listed.Info, b) {
			continue
		}
		if _, err := fsys.Stat(path.Join(dir, b.Name)); errors.Is(err, fs.ErrNotExist) {
			found.Damage(key, "a mark of the history lists it, and it is missing; marks that list it are left out")
		}
	}
	return nil
}
