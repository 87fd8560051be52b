package wal

import (
	"testing"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
	"tsdb/storage/log/logtest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	logtest.TestStore(t, func(t *testing.T) log.Store {
		fs := vfs.NewMem()
		must(t, fs.MkdirAll("data"))
		return Store{FS: fs, Dir: testDir, Options: listed()}
	})
}
