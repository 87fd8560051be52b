package partition

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"tsdb/internal/vfs"
)

// Blocks written by the first program of a format version stay in testdata and
// stay readable. They are made once, by -update where one is missing, and never
// again: today's writer may choose other codecs, but must read these.
func TestBlocksOfEveryFormatVersionAreRead(t *testing.T) {
	for _, level := range []Level{L0, L1, L2} {
		m := smallBlock(level)
		file := filepath.Join("testdata", "version1", fmt.Sprintf("%v.tsb", level))
		data, err := os.ReadFile(file)
		if *update && os.IsNotExist(err) {
			mem := vfs.NewMem()
			data = readBlockFile(t, mem, m.write(t, mem, "data", 1000).Name)
			must(t, os.MkdirAll(filepath.Dir(file), 0o777))
			err = os.WriteFile(file, data, fs.FileMode(0o666))
		}
		must(t, err)
		mem := vfs.NewMem()
		writeBlockFile(t, mem, BlockName(m.meta), data)
		b := openTest(t, mem, BlockInfo{Name: BlockName(m.meta)}, nil)
		m.check(t, b)
		mustBeClean(t, b)
	}
}
