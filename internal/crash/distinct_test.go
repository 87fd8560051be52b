package crash

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"path"

	"tsdb/internal/vfs"
)

// distinct are file systems by the hash of their names and bytes. Many operations of a
// step are followed by no sync, and a power cut before the next one leaves the same: a
// state is checked once for what the step promises.
type distinct map[[sha256.Size]byte]bool

// add reports whether fs differs from all added before.
func (d distinct) add(fs vfs.FS) bool {
	h := sha256.New()
	if err := hashDir(h, fs, "/"); err != nil {
		panic(err)
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	known := d[sum]
	d[sum] = true
	return !known
}

func hashDir(h hash.Hash, fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		name = path.Join(dir, name)
		info, err := fs.Stat(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %v %d\n", name, info.IsDir, info.Size)
		if info.IsDir {
			err = hashDir(h, fs, name)
		} else {
			err = hashFile(h, fs, name, info.Size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func hashFile(h hash.Hash, fs vfs.FS, name string, size int64) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(h, io.NewSectionReader(f, 0, size))
	return err
}
