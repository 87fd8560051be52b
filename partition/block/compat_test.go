package block

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"tsdb/internal/vfs"
)

// Blocks written by the first program of a format version stay in testdata and
// stay readable. They are made once, by -update where one is missing, and never
// again: today's writer may choose other codecs, but must read these.
func TestBlocksOfEveryFormatVersionAreRead(t *testing.T) {
	contents := map[int]func(Level) *modelBlock{1: smallBlock, 2: richBlock, 3: longBlock, 4: longBlock, 5: fullBlock, 6: ruledBlock}
	for version := 1; version <= blockVersion; version++ {
		for _, level := range []Level{L0, L1, L2} {
			m := contents[version](level)
			b := openVersion(t, version, level.String(), m.meta, func(fs vfs.FS) Info { return m.write(t, fs, "data", 1000) })
			m.check(t, b)
			mustBeClean(t, b)
		}
	}
	for version := versionRollups; version <= blockVersion; version++ {
		for _, tier := range []Tier{Minute, Hour} {
			m := smallRollup(tier)
			b := openVersion(t, version, tier.String(), m.meta, func(fs vfs.FS) Info { return m.write(t, fs, 1000) })
			m.check(t, b, rand.New(rand.NewPCG(1, 1)))
		}
	}
}

// openVersion opens the block of a version in testdata, or makes it.
func openVersion(t *testing.T, version int, name string, m Meta, write func(vfs.FS) Info) *Block {
	t.Helper()
	file := filepath.Join("testdata", fmt.Sprintf("version%d", version), name+".tsb")
	data, err := os.ReadFile(file)
	if *update && os.IsNotExist(err) && version == blockVersion {
		mem := vfs.NewMem()
		data = readBlockFile(t, mem, write(mem).Name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o777))
		err = os.WriteFile(file, data, fs.FileMode(0o666))
	}
	must(t, err)
	mem := vfs.NewMem()
	writeBlockFile(t, mem, FileName(m), data)
	b := openTest(t, mem, Info{Name: FileName(m)}, nil)
	if b.foot.version != uint32(version) {
		t.Fatalf("%s is of version %d", file, b.foot.version)
	}
	return b
}
