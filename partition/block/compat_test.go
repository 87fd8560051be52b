package block

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
	contents := map[int]func(Level) *modelBlock{1: smallBlock, 2: richBlock, 3: longBlock, 4: longBlock}
	for version := 1; version <= blockVersion; version++ {
		for _, level := range []Level{L0, L1, L2} {
			m := contents[version](level)
			file := filepath.Join("testdata", fmt.Sprintf("version%d", version), fmt.Sprintf("%v.tsb", level))
			data, err := os.ReadFile(file)
			if *update && os.IsNotExist(err) && version == blockVersion {
				mem := vfs.NewMem()
				data = readBlockFile(t, mem, m.write(t, mem, "data", 1000).Name)
				must(t, os.MkdirAll(filepath.Dir(file), 0o777))
				err = os.WriteFile(file, data, fs.FileMode(0o666))
			}
			must(t, err)
			mem := vfs.NewMem()
			writeBlockFile(t, mem, FileName(m.meta), data)
			b := openTest(t, mem, Info{Name: FileName(m.meta)}, nil)
			if b.foot.version != uint32(version) {
				t.Fatalf("%s is of version %d", file, b.foot.version)
			}
			m.check(t, b)
			mustBeClean(t, b)
		}
	}
}
