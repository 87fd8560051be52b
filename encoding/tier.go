package encoding

// Tier is the effort an Append function spends on a column. It is not stored on
// disk: every decoder reads the columns of all tiers.
type Tier uint8

// The tiers.
const (
	Fast Tier = iota // for columns that are merged soon: the cheapest to write and to read
	Full             // for columns that are kept: the shortest
)

func (t Tier) String() string {
	if t == Full {
		return "full"
	}
	return "fast"
}
