package tiers

import (
	"fmt"

	"tsdb/partition/block"
)

// Resolution is the tier that a query is to read. The zero value is Auto.
type Resolution struct {
	forced bool
	tier   block.Tier // if forced
}

// Auto lets each selector choose the tier that is cheapest to read.
var Auto Resolution

// Tier is a tier of the storage.
type Tier = block.Tier

// RawTier is the tier of samples.
const RawTier = block.Raw

// Raw is the resolution of queries that read samples only.
var Raw = Only(block.Raw)

// Only returns the resolution of queries that read one tier wherever it can answer,
// and samples elsewhere.
func Only(t block.Tier) Resolution { return Resolution{forced: true, tier: t} }

// ParseResolution returns the resolution of a name: "auto", which "" stands for too,
// or the name of a tier.
func ParseResolution(name string) (Resolution, error) {
	if name == "" || name == autoName {
		return Auto, nil
	}
	t, ok := block.ParseTier(name)
	if !ok {
		return Auto, fmt.Errorf("unknown resolution %q: known are %s, %s and %v", name, autoName, block.Raw, block.Rollups)
	}
	return Only(t), nil
}

const autoName = "auto"

// String returns the name of the resolution.
func (r Resolution) String() string {
	if !r.forced {
		return autoName
	}
	return r.tier.String()
}

// Tier returns the tier that the query is to read, and whether there is one: not for
// Auto.
func (r Resolution) Tier() (block.Tier, bool) { return r.tier, r.forced }
