package compaction_test

import (
	"testing"

	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/internal/storetest"
)

// Series are joined if their labels and their identities agree; labels alone
// that do mean that a block is not what it says.
func TestMergeComparesIdentityAndLabels(t *testing.T) {
	a, b := storetest.Series(0), storetest.Series(3)
	if c, err := compaction.CompareSeries(a, a); c != 0 || err != nil {
		t.Errorf("equal series: %d, %v", c, err)
	}
	if c, err := compaction.CompareSeries(a, b); c != block.Compare(a.Tenant, a.Labels, b.Tenant, b.Labels) || err != nil {
		t.Errorf("different series: %d, %v", c, err)
	}
	same := b
	same.ID = a.ID
	if c, err := compaction.CompareSeries(a, same); c == 0 || err != nil {
		t.Errorf("same identity of other labels: %d, %v", c, err)
	}
	other := a
	other.ID.Lo++
	if _, err := compaction.CompareSeries(a, other); err == nil {
		t.Error("other identity of the same labels: no error")
	}
}
