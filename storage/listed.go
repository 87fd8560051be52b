package storage

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

// listedBlocks are the blocks that one state of a MANIFEST lists, held open, so
// that they can be read beside a server that drops and removes them.
type listedBlocks struct {
	copies []manifest.Copy
	state  *manifest.State
	blocks map[string]*block.Block
	errs   map[string]error // of those that could not be opened
}

// openListed reads the MANIFEST and opens all blocks that it lists. A file goes
// only after the edit that drops it: if one is missing and the edit number has
// changed, the state read was too old, and it begins anew. If no MANIFEST can be
// read the error is that of manifest.Read, and copies say more.
func openListed(fs vfs.FS, dir string) (*listedBlocks, error) {
	objects := objstore.NewDir(fs, dir)
	for try := 1; ; try++ {
		l := &listedBlocks{copies: readCopies(fs, dir), blocks: map[string]*block.Block{}, errs: map[string]error{}}
		var err error
		if l.state, err = manifest.Newest(l.copies); err != nil {
			return l, err
		}
		missing := false
		for _, b := range l.state.Sorted() {
			block, err := block.Open(objects, b.Name, nil)
			if err != nil {
				l.errs[b.Name] = err
				missing = missing || errors.Is(err, iofs.ErrNotExist)
				continue
			}
			l.blocks[b.Name] = block
		}
		if !missing {
			return l, nil
		}
		now, _, err := manifest.Read(fs, dir)
		if err != nil || now.Number == l.state.Number {
			return l, nil // it is missing indeed
		}
		l.close()
		if try == listedTries {
			return l, fmt.Errorf("the MANIFEST changed %d times while its blocks were opened", try)
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

// close closes the blocks. An error means nothing: they were only read.
func (l *listedBlocks) close() {
	for _, b := range l.blocks {
		_ = b.Close()
	}
}
