# usage: make_pytorch.py OUTDIR  -> writes event files with torch.utils.tensorboard, and values.json of what was written
# made with torch 2.8.0 and tensorboard 2.21.0
import glob, json, math, os, shutil, sys, time
import torch
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import int_to_half
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

out = sys.argv[1]
shutil.rmtree(out, ignore_errors=True)
logs = os.path.join(out, 'logs')
written = []


def number(v):
    if isinstance(v, float) and not math.isfinite(v):
        return 'NaN' if math.isnan(v) else 'Infinity' if v > 0 else '-Infinity'
    return v


# A scalar of each type that add_tensor takes: half and bfloat16 get the 32 bits of a float in half_val, uint8 uint32_val.
FLOATS = [0.0, -0.0, 1.0, 0.1, -1.5, 65504.0, 6e-8, 1e-40, 3e38, float('nan'), float('inf'), float('-inf')]
INTEGERS = [0, 1, 100, -5, 200]
types = [torch.half, torch.bfloat16, torch.float32, torch.float64]
types += [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool]
w = SummaryWriter(os.path.join(logs, 'tensors'))
for t in types:
    tag = str(t).removeprefix('torch.')
    for step, v in enumerate(FLOATS if t.is_floating_point else INTEGERS):
        tensor = torch.tensor(v, dtype=torch.float64).to(torch.int64 if not t.is_floating_point else t).to(t)
        w.add_tensor(tag, tensor, step)
        written.append(dict(dir='tensors', tag=tag, step=step, value=number(float(tensor.item())), kind='tensor'))
w.add_tensor('one', torch.tensor([[0.25]], dtype=torch.bfloat16), 0)
written.append(dict(dir='tensors', tag='one', step=0, value=0.25, kind='tensor'))
for tag, tensor in dict(complex64=torch.tensor(1 + 2j), complex128=torch.tensor(1j, dtype=torch.complex128),
                        vector=torch.tensor([1.0, 2.0], dtype=torch.half)).items():
    w.add_tensor(tag, tensor, 0)
    written.append(dict(dir='tensors', tag=tag, step=0, value=None, kind='tensor', note='not a scalar'))
w.close()

# A trainer that resumes at step 5, and says so.
w = SummaryWriter(os.path.join(logs, 'purged'))
for step in range(11):
    w.add_scalar('loss', float(step), step)
w.close()
time.sleep(1.1)
w = SummaryWriter(os.path.join(logs, 'purged'), purge_step=5)
for step in (6, 7):
    w.add_scalar('loss', 100.0 + step, step)
w.close()
for step in range(11):
    written.append(dict(dir='purged', tag='loss', step=step, value=float(step), kind='simple_value'))
for step in (6, 7):
    written.append(dict(dir='purged', tag='loss', step=step, value=100.0 + step, kind='simple_value'))

files, read_back = {}, []
LISTS = {1: 'float_val', 2: 'double_val', 3: 'int_val', 4: 'uint32_val', 5: 'int_val', 6: 'int_val', 9: 'int64_val', 10: 'bool_val'}
for path in sorted(glob.glob(logs + '/*/*')):
    name, events = os.path.relpath(path, logs), []
    for record in RawEventFileLoader(path).Load():
        e = Event.FromString(record)
        events.append(e.WhichOneof('what'))
        if e.HasField('file_version'):
            entry = dict(file=name, file_version=e.file_version, source=e.source_metadata.writer)
            read_back.append(entry | (dict(step=e.step) if e.step else {}))
        if e.HasField('session_log'):
            read_back.append(dict(file=name, session_log=e.session_log.status, step=e.step))
        for v in e.summary.value:
            kind, dtype, value = v.WhichOneof('value'), None, None
            if kind == 'simple_value':
                value = v.simple_value
            else:
                dtype = v.tensor.dtype
                values = getattr(v.tensor, LISTS[dtype]) if dtype in LISTS else []
                # TensorBoard's reader takes half_val for 16 bits.
                if dtype in (14, 19):
                    values = [int_to_half(v) for v in v.tensor.half_val]
                value = float(values[0]) if len(values) == 1 else None
            read_back.append(dict(file=name, tag=v.tag, step=e.step, wall_time=e.wall_time, kind=kind,
                                  plugin=v.metadata.plugin_data.plugin_name, dtype=dtype, value=number(value)))
    files[name] = dict(size=os.path.getsize(path), events=events)
json.dump(dict(writer='pytorch', written=written, files=files, read_back=read_back),
          open(os.path.join(out, 'values.json'), 'w'), indent=1)
