package datadir

import (
	"errors"
	"fmt"
	iofs "io/fs"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// listedTries bounds how often the MANIFEST of a running server is read again
// because it changed meanwhile.
const listedTries = 20

// Listed is the set of blocks that one state of a MANIFEST lists, held open, so
// that they can be read beside a server that drops and removes them.
type Listed struct {
	Copies []manifest.Copy
	State  *manifest.State
	Blocks map[string]*block.Block
	Errs   map[string]error // of those that could not be opened
	Err    error            // State and Blocks cannot be relied on
}

// OpenListed reads the MANIFEST and opens all blocks that it lists. A file goes
// only after the edit that drops it: if one is missing and the edit number has
// changed, the state read was too old, and it begins anew. If no MANIFEST can be
// read, Err is the error of manifest.Read, and Copies say more.
func OpenListed(fs vfs.FS, dir string) *Listed {
	objects := objstore.NewDir(fs, dir)
	for try := 1; ; try++ {
		l := &Listed{Copies: readCopies(fs, dir), Blocks: map[string]*block.Block{}, Errs: map[string]error{}}
		if l.State, l.Err = manifest.Newest(l.Copies); l.Err != nil {
			return l
		}
		missing := false
		for _, b := range l.State.Sorted() {
			block, err := block.Open(objects, b.Name, nil)
			if err != nil {
				l.Errs[b.Name] = err
				missing = missing || errors.Is(err, iofs.ErrNotExist)
				continue
			}
			l.Blocks[b.Name] = block
		}
		if !missing {
			return l
		}
		now, _, err := manifest.Read(fs, dir)
		if err != nil || now.Number == l.State.Number {
			return l // it is missing indeed
		}
		l.Close()
		if try == listedTries {
			l.Err = fmt.Errorf("the MANIFEST changed %d times while its blocks were opened", try)
			return l
		}
	}
}

// readCopies reads both copies of the MANIFEST, which a server may be writing:
// as long as the second has an edit that the first has not, the first was read
// too early.
func readCopies(fs vfs.FS, dir string) []manifest.Copy {
	for try := 1; ; try++ {
		copies := manifest.ReadCopies(fs, dir)
		first, twin := &copies[0], &copies[1]
		if first.Err != nil || twin.Err != nil || twin.State.Number <= first.State.Number || try == listedTries {
			return copies
		}
	}
}

// Close closes the blocks. An error means nothing: they were only read.
func (l *Listed) Close() {
	for _, b := range l.Blocks {
		_ = b.Close()
	}
}
