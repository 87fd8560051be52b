package main

import (
	"slices"
	"strings"
	"testing"

	"tsdb/partition/block"
)

func TestTiersInForce(t *testing.T) {
	f := func(text string, want []block.Tier, args ...string) {
		t.Helper()
		c, err := load(t, "", args...)
		if err != nil {
			t.Errorf("%v: %v", args, err)
			return
		}
		if got := c.tiers(); !slices.Equal(got, want) || c.rollupsText() != text {
			t.Errorf("%v: tiers %v, %q; want %v, %q", args, got, c.rollupsText(), want, text)
		}
	}
	f("1m 180d, 1h 5y, 6h 5y", []block.Tier{block.Minute, block.Hour, block.Hours6})
	f("1m 180d, 1h 5y", []block.Tier{block.Minute, block.Hour}, "--rollups=1h, 1m")
	f("1m 180d, 5m 1y, 30m 2y, 1h 5y, 6h 5y", block.Rollups, "--rollups=6h,1h,30m,5m,1m")
	f("1h for ever", []block.Tier{block.Hour}, "--retention.1m=off", "--retention.1h=0", "--retention.6h=off")
	f("1h 2y, 6h 2y", []block.Tier{block.Hour, block.Hours6}, "--retention.1m=off", "--retention.1h=2y") // 6h is kept as 1h is
	f("6h 7y", []block.Tier{block.Hours6}, "--retention.1m=off", "--retention.1h=off", "--retention.6h=7y")
	f("off", nil, "--rollups=off")
	f("off", nil, "--rollups=")
	f("off", nil, "--retention.1m=off", "--retention.1h=off")
}

func TestDoubtfulRetentionsAreNamed(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		c, err := load(t, "", args...)
		if err != nil {
			t.Errorf("%v: %v", args, err)
			return
		}
		if got := strings.Join(c.warnings(), "\n"); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%v: warnings %q, want %q", args, got, want)
		}
	}
	f("")
	f("--retention.1m=10d is shorter than --retention.raw=30d", "--retention.1m=10d")
	f("--retention.1h=5y is shorter than --retention.raw=0 (for ever)", "--retention.raw=0")
	f("", "--retention.raw=0", "--retention.1m=off", "--retention.1h=0")
	f("", "--retention.1m=10y") // a finer tier may be kept longer than a coarser one
	f("--retention.5m=30d has no effect: --rollups=1m,1h,6h has no 5m", "--retention.5m=30d")
	f("", "--retention.5m=off")
	f("", "--rollups=5m", "--retention.5m=60d")
	f("", "--rollups=off", "--retention.raw=90d")
}
