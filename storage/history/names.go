package history

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"tsdb/partition/block"
	"tsdb/partition/format"
)

// Names below the data directory.
const (
	marksDir    = format.HistoryDir + "/marks"
	groupSuffix = ".marks"
	purgesName  = "PURGES"
	purgesTwin  = "PURGES.2"
)

// groupName returns the name of the file of a group: the number and the time of its first
// mark.
func groupName(number uint64, wallMs int64) string {
	return fmt.Sprintf("%012d-%d%s", number, wallMs, groupSuffix)
}

// parseGroupName returns what groupName was called with.
func parseGroupName(name string) (number uint64, wallMs int64, ok bool) {
	first, second, ok := strings.Cut(strings.TrimSuffix(name, groupSuffix), "-")
	if !ok || !strings.HasSuffix(name, groupSuffix) {
		return 0, 0, false
	}
	number, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	wallMs, err = strconv.ParseInt(second, 10, 64)
	return number, wallMs, err == nil && groupName(number, wallMs) == name
}

// keyOf returns the key under which history keeps a block.
func keyOf(b block.Info) string {
	return fmt.Sprintf("%s/%s-%08x%s", format.HistoryDir, strings.TrimSuffix(b.Name, format.BlockSuffix), b.CRC, format.BlockSuffix)
}

// isBlockKey reports whether a key below the directory of history may be that of a block.
func isBlockKey(key string) bool {
	return strings.HasSuffix(key, format.BlockSuffix) && path.Dir(key) != format.HistoryDir
}

// IsFile reports whether a file of the name has the form of a MANIFEST: marks, or purges.
func IsFile(base string) bool {
	return path.Ext(base) == groupSuffix || base == purgesName || base == purgesTwin
}
