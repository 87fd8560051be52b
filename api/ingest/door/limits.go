package door

import "tsdb/storage"

// Limits bounds the labels of a series. Zero fields mean the defaults.
type Limits struct {
	Labels     int // labels of a series, the metric name included; default 128
	NameBytes  int // bytes of a label name; default 1 KiB
	ValueBytes int // bytes of a label value; default 16 KiB
}

// maxLabelBytes bounds the configurable limits of names and values. It is below
// the length that labels.Labels can encode.
const maxLabelBytes = 1<<24 - 1

func (l Limits) withDefaults() Limits {
	setDefault(&l.Labels, 128)
	setDefault(&l.NameBytes, 1<<10)
	setDefault(&l.ValueBytes, 16<<10)
	l.NameBytes = min(l.NameBytes, maxLabelBytes)
	l.ValueBytes = min(l.ValueBytes, maxLabelBytes)
	return l
}

// MaxLabels returns the number of labels that a series may have.
func (s *LabelSet) MaxLabels() int { return s.limits.Labels }

// TooMany returns the refusal of a series with n labels.
func (s *LabelSet) TooMany(n int) *storage.Reject {
	return s.tooMany(storage.ReasonLimit, "series", n)
}

// TooManyInExemplar returns the refusal of an exemplar with n labels.
func (s *LabelSet) TooManyInExemplar(n int) *storage.Reject {
	return s.tooMany(storage.ReasonBadExemplar, "exemplar", n)
}

func (s *LabelSet) tooMany(reason storage.Reason, what string, n int) *storage.Reject {
	return s.Refuse(reason, "%s has %d labels, limit is %d (--limit.labels)", what, n, s.limits.Labels)
}

// tooLarge returns a refusal if the labels of a series or an exemplar exceed a
// limit. It is called before the labels are copied or formatted.
func (s *LabelSet) tooLarge(reason storage.Reason, what string) *storage.Reject {
	if n := len(s.pairs) + s.excess; n > s.limits.Labels {
		return s.tooMany(reason, what, n)
	}
	for _, p := range s.pairs {
		if len(p.name) > s.limits.NameBytes {
			return s.Refuse(reason, "label name of %d bytes, limit is %d (--limit.label-name)", len(p.name), s.limits.NameBytes)
		}
		if len(p.value) > s.limits.ValueBytes {
			return s.Refuse(reason, "value of label %q has %d bytes, limit is %d (--limit.label-value)",
				Clip(string(p.name), MaxExcerptBytes), len(p.value), s.limits.ValueBytes)
		}
	}
	return nil
}
