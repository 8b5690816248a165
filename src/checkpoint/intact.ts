/** The remedy for every kind of damage. */
export const getIntact = 'get an intact copy of the file';
