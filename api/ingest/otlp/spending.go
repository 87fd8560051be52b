package otlp

// The memory of what is made of a request, in bytes.
const (
	sampleBytes    = 48  // of a sample in a batch
	exemplarBytes  = 256 // of an exemplar without labels
	histogramBytes = 512 // of a native histogram without buckets
)

// spending charges the memory of what is made of a request beyond what was charged for
// its length: a data point of a few bytes may hold hundreds of quantiles.
type spending struct {
	spent, paid int64
	charge      func(bytes int64) error // nil = not charged
}

// spendingStep is the number of bytes that are charged at once.
const spendingStep = 1 << 20

func (s *spending) take(n int) error {
	s.spent += int64(n)
	if s.spent <= s.paid || s.charge == nil {
		return nil
	}
	more := s.spent - s.paid + spendingStep
	s.paid += more
	return s.charge(more)
}
