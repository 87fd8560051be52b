package encoding

// Tier says how much an Append function spends on a column. It means nothing on
// disk: every decoder reads the columns of all tiers.
type Tier uint8

// The tiers.
const (
	Fast Tier = iota // for what is merged soon: the cheapest to write and to read
	Full             // for what stays: the shortest
)

func (t Tier) String() string {
	if t == Full {
		return "full"
	}
	return "fast"
}
