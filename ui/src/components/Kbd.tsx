import { keyLabels } from '@/input/chord';

/** One chord, drawn as separate keys and read as one phrase. */
export function Keys({ chord }: { chord: string }) {
  const labels = keyLabels(chord);
  return (
    <kbd className="inline-flex shrink-0 items-center gap-0.5 font-sans">
      <span className="sr-only">{labels.join(' + ')}</span>
      {labels.map((label) => (
        <span
          key={label}
          aria-hidden="true"
          className="inline-flex h-[18px] min-w-[18px] items-center justify-center rounded-sm border border-line bg-raised px-1 text-xs text-muted"
        >
          {label}
        </span>
      ))}
    </kbd>
  );
}
