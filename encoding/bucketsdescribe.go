package encoding

import "fmt"

// BucketField describes an inner column of a column of buckets, for people inspecting
// a file.
type BucketField struct {
	Name string // of the values
	Form string // how they follow from others
	Info Info   // zero if there is no column because all values are as predicted
}

func (f BucketField) String() string {
	if f.Info.Bytes == 0 {
		return f.Name + ": " + f.Form
	}
	return fmt.Sprintf("%s: %s, %v, %d bytes", f.Name, f.Form, f.Info, f.Info.Bytes)
}

// How the forms of the inner columns are called.
var (
	bucketTimesForms = [bucketTimes][]string{
		bucketCount:     {"by interval", "own", "from interval"},
		bucketFirstTime: {"by interval", "from start", "from interval"},
		bucketLastTime:  {"by interval", "from end", "from interval"},
		bucketLast2Time: {"by interval", "from end", "from interval"},
		bucketLast3Time: {"by interval", "from end", "from interval"},
	}
	bucketValuesForms = [bucketValues][]string{
		bucketLast:    {"zero"},
		bucketFirst:   {"last", "own", "from last", "from last before"},
		bucketLast2:   {"last", "own", "from last"},
		bucketMin:     {"lower end", "own", "from lower end"},
		bucketMax:     {"higher end", "own", "from higher end"},
		bucketSum:     {"line", "own", "from line of ends", "from line of extremes"},
		bucketChanges: {"zero", "own", "from count"},
		bucketResets:  {"zero", "own", "from changes"},
		bucketLost:    {"resets of max", "own", "from resets of max", "from resets of mean"},
		bucketFlags:   {"zero"},
	}
)

// BucketFields describes the inner columns of a column of buckets with n rows. k is
// KindBucketTimes or KindBucketValues. Like ColumnInfo it reads headers only.
func BucketFields(k Kind, src []byte, n int) ([]BucketField, error) {
	if err := checkDecode(k.String(), n); err != nil || len(src) == 0 {
		return nil, err
	}
	if n == 0 {
		return nil, corruptf("%s: %d bytes for no row", k, len(src))
	}
	var p bucketParts
	var err error
	var mask byte
	parts, forms := bucketPartsOf(k)
	if k == KindBucketTimes {
		_, err = p.parseTimes(src)
	} else {
		mask, err = p.parseValues(src)
	}
	if err != nil {
		return nil, err
	}
	fields := make([]BucketField, len(parts))
	for i, part := range parts {
		form := p.forms[i]
		f := BucketField{Name: part.name, Form: formName(forms[i], form)}
		if mask&maskResets != 0 && isLeftOut(i) {
			f.Form = "left out"
		}
		if form != formPredicted {
			if f.Info, err = bucketPartInfo(k, i, form, p.bodies[i], n); err != nil {
				return fields[:i], fmt.Errorf("%s: %w", part.name, err)
			}
		}
		fields[i] = f
	}
	return fields, nil
}

func bucketPartsOf(k Kind) (parts []bucketPart, forms [][]string) {
	if k == KindBucketTimes {
		return bucketTimesParts[:], bucketTimesForms[:]
	}
	return bucketValuesParts[:], bucketValuesForms[:]
}

func formName(names []string, form bucketForm) string {
	if int(form) < len(names) {
		return names[form]
	}
	return "own" // the names end before it
}

// bucketPartKind returns the kind of inner column i of a column of kind k.
func bucketPartKind(k Kind, i int) Kind {
	if k == KindBucketTimes || i == bucketChanges || i == bucketResets || i == bucketFlags {
		return KindTimestamps
	}
	return KindFloats
}

// bucketPartInfo describes the bytes of inner column i.
func bucketPartInfo(k Kind, i int, form bucketForm, src []byte, n int) (Info, error) {
	part := bucketPartKind(k, i)
	if part == KindFloats && form != formOwn {
		if _, _, err := parsePredictedFloats(src, n); err != nil {
			return Info{}, err
		}
	}
	return ColumnInfo(part, src, n)
}

// buckets sets the form of a column of buckets: how many inner columns it has, and
// whether there are exceptions.
func (i *Info) buckets(src []byte, n int) error {
	fields, err := BucketFields(i.Kind, src, n)
	if err != nil {
		return err
	}
	columns := 0
	for _, f := range fields {
		if f.Info.Bytes > 0 {
			columns++
			i.Exceptions += f.Info.Exceptions
		}
	}
	i.Form = fmt.Sprintf("inner columns: %d", columns)
	return nil
}

// bucketTimes adds the fields of the times of buckets.
func (f *fielder) bucketTimes(src []byte, n int) error {
	var p bucketParts
	interval, err := p.parseTimes(src)
	if err != nil {
		return err
	}
	_, src, _ = Uvarint(src)
	f.add(src, "interval %d", interval)
	return f.bucketParts(KindBucketTimes, &p, src, n)
}

// bucketValues adds the fields of the values of buckets.
func (f *fielder) bucketValues(src []byte, n int) error {
	var p bucketParts
	mask, err := p.parseValues(src)
	if err != nil {
		return err
	}
	if mask&maskResets != 0 {
		f.add(src[1:], "mask: changes, resets and lost are left out")
	} else {
		f.add(src[1:], "mask: no column is left out")
	}
	return f.bucketParts(KindBucketValues, &p, src[1:], n)
}

// bucketParts adds the fields of the inner columns p, which were parsed from src.
func (f *fielder) bucketParts(k Kind, p *bucketParts, src []byte, n int) error {
	parts, forms := bucketPartsOf(k)
	_, src, _ = Uvarint(src)
	f.add(src, "forms")
	stored := []int{}
	for i := range parts {
		if p.forms[i] != formPredicted {
			stored = append(stored, i)
		}
	}
	for j, i := range stored {
		if j < len(stored)-1 {
			_, src, _ = Uvarint(src)
			f.add(src, "length of %s", parts[i].name)
		}
	}
	for _, i := range stored {
		src = src[len(p.bodies[i]):]
		parse := (*fielder).ints
		if bucketPartKind(k, i) == KindFloats {
			parse = (*fielder).floats
		}
		if err := f.innerAs(parts[i].name+", "+formName(forms[i], p.forms[i]), p.bodies[i], n, parse); err != nil {
			return err
		}
	}
	return nil
}
